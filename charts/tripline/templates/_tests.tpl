{{- /* Annotations of what `helm test` makes, in the order of their weight, and takes away when it succeeded. */}}
{{- define "tripline.test.hook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
