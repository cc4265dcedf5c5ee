{{/* The name of a part: RELEASE-PART. */}}
{{- define "spikefleet.name" -}}
{{- $root := index . 0 -}}
{{- printf "%s-%s" ($root.Release.Name | trunc 40 | trimSuffix "-") (index . 1) -}}
{{- end }}

{{/* Labels by which a part's pods are chosen. They never change: selectors are immutable. */}}
{{- define "spikefleet.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "spikefleet.labels" -}}
{{- $root := index . 0 -}}
{{ include "spikefleet.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: {{ $root.Chart.Name }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end }}

{{/* REGISTRY/REPOSITORY@DIGEST, or :TAG. Takes the root and {repository, tag, digest}. */}}
{{- define "spikefleet.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $name := $image.repository -}}
{{- with $root.Values.image.registry -}}
{{- $name = printf "%s/%s" (trimSuffix "/" .) $name -}}
{{- end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name ($image.tag | default $root.Values.image.tag | default $root.Chart.AppVersion) -}}
{{- end -}}
{{- end }}

{{/* Which rooms have a pod of their own, and which rooms it serves. SQLite has one process. */}}
{{- define "spikefleet.pods" -}}
{{- if .Values.database.url -}}
ingest: [ingest]
reporter: [reporter]
controller: [controller]
{{- else -}}
controller: [controller, ingest, reporter]
{{- end }}
preflight: [preflight]
curation: [curation]
{{- end }}

{{/* The component whose pods serve a room. */}}
{{- define "spikefleet.servedBy" -}}
{{- $room := index . 1 -}}
{{- range $pod, $rooms := include "spikefleet.pods" (index . 0) | fromYaml -}}
{{- if has $room $rooms }}{{ $pod }}{{ end -}}
{{- end -}}
{{- end }}

{{/* Where alerts and panels find the pages of docs/operations, with a slash at the end. */}}
{{- define "spikefleet.pages" -}}
{{- $url := required "monitoring.docsUrl is needed by rules and dashboards: the address (https://...) at which your people read the pages of docs/operations" .Values.monitoring.docsUrl -}}
{{- printf "%s/" (trimSuffix "/" $url) -}}
{{- end }}

{{- define "spikefleet.roomSecret" -}}
{{- .Values.roomSecret.name | default (include "spikefleet.name" (list . "rooms")) -}}
{{- end }}

{{/* The profile of a sorter, laid over the defaults. */}}
{{- define "spikefleet.profile" -}}
{{- $runners := (index . 0).Values.runners -}}
{{- mustMergeOverwrite (deepCopy $runners.defaults) (deepCopy (index $runners.profiles (index . 1) | default dict)) | toYaml -}}
{{- end }}

{{/* A value as the service reads it: large whole numbers would be written as 1.7e+10 otherwise. */}}
{{- define "spikefleet.scalar" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- printf "%.0f" . -}}
{{- else -}}
{{- toString . -}}
{{- end -}}
{{- end }}
