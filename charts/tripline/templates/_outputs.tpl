{{- /* Where alerts go besides the API. What follows alerts, and sends, is whoever leads. */}}

{{- /* Whether changes of alerts go anywhere; "yes" or nothing. */}}
{{- define "tripline.outputs" -}}
{{- with .Values.outputs }}
{{- if or .stdout.enabled .alertmanager.urls .webhook.url }}yes{{ end }}
{{- end }}
{{- end }}

{{- /* Arguments of whoever leads. */}}
{{- define "tripline.outputs.arguments" -}}
{{- with .Values.outputs -}}
- --output-count-seconds={{ .countSeconds }}
{{- if .stdout.enabled }}
- --output-stdout
{{- end }}
{{- range .alertmanager.urls }}
- {{ printf "--alertmanager-url=%s" . | quote }}
{{- end }}
{{- if .alertmanager.existingSecret }}
- --alertmanager-credentials=/etc/tripline/alertmanager
{{- end }}
{{- if .webhook.url }}
- {{ printf "--output-webhook-url=%s" .webhook.url | quote }}
- --output-webhook-credentials=/etc/tripline/output-webhook
{{- end }}
{{- end }}
{{- end }}

{{- define "tripline.outputs.mounts" -}}
{{- with .Values.outputs }}
{{- if .alertmanager.existingSecret }}
- name: alertmanager
  mountPath: /etc/tripline/alertmanager
  readOnly: true
{{- end }}
{{- if .webhook.url }}
- name: output-webhook
  mountPath: /etc/tripline/output-webhook
  readOnly: true
{{- end }}
{{- end }}
{{- end }}

{{- /* Optional: a Secret that is missing keeps an output from working, and not the log from being judged. */}}
{{- define "tripline.outputs.volumes" -}}
{{- with .Values.outputs }}
{{- with .alertmanager.existingSecret }}
- name: alertmanager
  secret:
    secretName: {{ . }}
    optional: true
    items:
      - {key: ca.crt, path: ca.crt}
      - {key: token, path: token}
      - {key: username, path: username}
      - {key: password, path: password}
{{- end }}
{{- if .webhook.url }}
- name: output-webhook
  secret:
    secretName: {{ .webhook.existingSecret }}
    optional: true
    items:
      - {key: secret, path: secret}
      - {key: ca.crt, path: ca.crt}
{{- end }}
{{- end }}
{{- end }}
