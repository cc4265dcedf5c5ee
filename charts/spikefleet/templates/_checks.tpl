{{/*
What a schema cannot say of values that belong together. Fails with what to change; renders nothing.
*/}}
{{- define "spikefleet.check" -}}
{{- $values := .Values -}}
{{- $_ := include "spikefleet.endpoint" . -}}
{{- if not $values.artifacts.secret -}}
{{- fail "artifacts.secret is needed: the Secret with the keys access-key and secret-key of the bucket; make it with: kubectl create secret generic NAME --from-literal=access-key=... --from-literal=secret-key=..." -}}
{{- end -}}
{{- if and $values.gateway.enabled (not $values.gateway.parentRefs) -}}
{{- fail "gateway.parentRefs names the Gateway that rigs call, and is empty: [{name: GATEWAY, namespace: NAMESPACE}]" -}}
{{- end -}}
{{- if not $values.database.url -}}
{{- if $values.database.passwordSecret.name -}}
{{- fail "database.passwordSecret is named, but database.url is empty: SQLite has no password; name the server or take the Secret out" -}}
{{- end -}}
{{- if gt (int $values.rooms.reporter.replicas) 1 -}}
{{- fail (printf "rooms.reporter.replicas is %d, but without database.url the rooms that use SQLite share the one pod of the controller: leave it at 1, or name a PostgreSQL server" (int $values.rooms.reporter.replicas)) -}}
{{- end -}}
{{- end -}}
{{- include "spikefleet.checkRoomSecret" . -}}
{{- range $name, $_ := $values.runners.profiles -}}
{{- include "spikefleet.checkProfile" (list $name (include "spikefleet.profile" (list $ $name) | fromYaml)) -}}
{{- end -}}
{{- end }}

{{/*
A secret that is made up has to be read back on an upgrade: another one would shut the rooms out of
each other. Where the cluster is not asked (helm template, a dry run of the client) it cannot be.
*/}}
{{- define "spikefleet.checkRoomSecret" -}}
{{- if and .Release.IsUpgrade (not .Values.roomSecret.name) -}}
{{- $name := include "spikefleet.roomSecret" . -}}
{{- if not (lookup "v1" "Secret" .Release.Namespace $name) -}}
{{- fail (printf "the Secret %s, by which the rooms know each other, is not seen: it was deleted, or this upgrade is rendered without asking the cluster (take --dry-run=server). Make it and name it in roomSecret.name" $name) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Sizes of a profile: what a first attempt gets is no more than the largest. */}}
{{- define "spikefleet.checkProfile" -}}
{{- $name := index . 0 -}}
{{- $profile := index . 1 -}}
{{- $memory := dict "small" $profile.memory "large" $profile.maxMemory "names" "memory %s is more than maxMemory %s" -}}
{{- $scratch := dict "small" $profile.scratch.size "large" $profile.scratch.maxSize "names" "scratch.size %s is more than scratch.maxSize %s" -}}
{{- range list $memory $scratch -}}
{{- if gt (include "spikefleet.bytes" .small | float64) (include "spikefleet.bytes" .large | float64) -}}
{{- fail (printf "runners.profiles.%s (laid over runners.defaults): %s; raise the second or lower the first" $name (printf .names .small .large)) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* A quantity of bytes as a number: 1.5Gi is 1610612736. */}}
{{- define "spikefleet.bytes" -}}
{{- $factors := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 -}}
{{- $number := regexFind "^[0-9.]+" (toString .) -}}
{{- mulf (float64 $number) (index $factors (trimPrefix $number (toString .))) -}}
{{- end }}
