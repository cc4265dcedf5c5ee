{{/* Ports that follow from URLs, as lists in YAML. */}}

{{/* The port of the bucket's endpoint: the one that is written, else that of its scheme. */}}
{{- define "spikefleet.artifactsPorts" -}}
{{- $endpoint := include "spikefleet.endpoint" . -}}
{{- $port := regexReplaceAll "^https?://(\\[[^]]*\\]|[^:/]*):?([0-9]*)(/.*)?$" $endpoint "${2}" -}}
- {{ $port | default (hasPrefix "https:" $endpoint | ternary 443 80) }}
{{- end }}

{{/* The endpoint in artifacts.url, percent signs resolved; fails where there is none. */}}
{{- define "spikefleet.endpoint" -}}
{{- if not .Values.artifacts.url -}}
{{- fail "artifacts.url is needed: the bucket of recordings and results, s3://BUCKET/PREFIX?endpoint=https://HOST&region=NAME" -}}
{{- end -}}
{{- $told := regexFind "[?&]endpoint=[^&#]+" .Values.artifacts.url -}}
{{- $endpoint := regexReplaceAll "(?i)%2F" (regexReplaceAll "(?i)%3A" (regexReplaceAll "^.endpoint=" $told "") ":") "/" -}}
{{- if not (regexMatch "^https?://(\\[[0-9a-fA-F:.]+\\]|[^][:/@]+)(:[0-9]{1,5})?/?$" $endpoint) -}}
{{- fail (printf "artifacts.url %q names no endpoint: write s3://BUCKET/PREFIX?endpoint=https://HOST:PORT&region=NAME" .Values.artifacts.url) -}}
{{- end -}}
{{- $endpoint -}}
{{- end }}

{{/* The ports of the database's hosts, of which there may be several; 5432 where none is written. */}}
{{- define "spikefleet.databasePorts" -}}
{{- $places := list -}}
{{- $authority := regexReplaceAll "^[^:]+://([^@/?]*@)?([^/?]*).*$" .Values.database.url "${2}" -}}
{{- range splitList "," $authority }}{{ if . }}{{ $places = append $places . }}{{ end }}{{ end -}}
{{- range regexFindAll "[?&]host=[^&]+" .Values.database.url -1 -}}
{{- $places = concat $places (splitList "," (regexReplaceAll "^.host=" . "")) -}}
{{- end -}}
{{- $usual := regexReplaceAll "^.port=" (regexFind "[?&]port=[0-9]+" .Values.database.url) "" | default "5432" -}}
{{- $ports := list -}}
{{- range $places -}}
{{- $ports = append $ports (regexFind ":[0-9]+$" (regexReplaceAll "^\\[[^]]*\\]" . "") | trimPrefix ":" | default $usual) -}}
{{- end -}}
{{- range $ports | default (list $usual) | uniq }}
- {{ . }}
{{- end -}}
{{- end }}

{{/* The peers that may call the rooms that answer people: rigs, and the pods of the entrance. */}}
{{- define "spikefleet.callers" -}}
{{- $network := .Values.network -}}
{{- if $network.rigs -}}
{{- if and (or .Values.ingress.enabled .Values.gateway.enabled) (not $network.entrance) -}}
{{- fail "network.entrance names the pods of the ingress controller or the gateway, and is empty: nothing would come in. For example [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress-nginx}}}]" -}}
{{- end -}}
{{- concat $network.rigs $network.entrance | toYaml -}}
{{- end -}}
{{- end }}
