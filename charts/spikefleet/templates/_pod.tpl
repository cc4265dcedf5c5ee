{{/* PodSecurity restricted, for a pod and for a container. */}}
{{- define "spikefleet.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "spikefleet.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "spikefleet.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Environment that differs by no room, beside the ConfigMap of settings. */}}
{{- define "spikefleet.plainEnvironment" -}}
- {name: HOME, value: /tmp}
- {name: MPLCONFIGDIR, value: /tmp/matplotlib}
{{- end }}

{{- define "spikefleet.secretMounts" -}}
- {name: room-secret, mountPath: /run/secrets/spikefleet/rooms, readOnly: true}
- {name: s3, mountPath: /run/secrets/spikefleet/s3, readOnly: true}
{{- if .Values.database.passwordSecret.name }}
- {name: database, mountPath: /run/secrets/spikefleet/database, readOnly: true}
{{- end }}
{{- end }}

{{- define "spikefleet.secretVolumes" -}}
- name: room-secret
  secret:
    secretName: {{ include "spikefleet.roomSecret" . }}
    defaultMode: 0440
    items: [{key: {{ .Values.roomSecret.key }}, path: secret}]
- name: s3
  secret: {secretName: {{ .Values.artifacts.secret }}, defaultMode: 0440}
{{- with .Values.database.passwordSecret }}
{{- if .name }}
- name: database
  secret:
    secretName: {{ .name }}
    defaultMode: 0440
    items: [{key: {{ .key }}, path: password}]
{{- end }}
{{- end }}
{{- end }}
