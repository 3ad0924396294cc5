{{- /* Names and labels. What takes a component is called with (list . "reader"). */}}

{{- define "tripline.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* Leaves room for "-controller" and a ReplicaSet's hash in 63 characters. */}}
{{- define "tripline.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name }}
{{- $full := printf "%s-%s" .Release.Name $name }}
{{- if contains $name .Release.Name }}{{ $full = .Release.Name }}{{ end }}
{{- .Values.fullnameOverride | default $full | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "tripline.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "tripline.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
{{- with index . 1 }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{- define "tripline.labels" -}}
{{- $root := index . 0 -}}
{{ include "tripline.selectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: tripline
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* The component that reads the log: `all` where it does everything. */}}
{{- define "tripline.reader.component" -}}
{{- eq .Values.mode "all" | ternary "all" "reader" }}
{{- end }}

{{- define "tripline.reader.name" -}}
{{- $name := include "tripline.fullname" . }}
{{- eq .Values.mode "all" | ternary $name (printf "%s-reader" $name) }}
{{- end }}

{{- define "tripline.controller.name" -}}
{{- printf "%s-controller" (include "tripline.fullname" .) }}
{{- end }}

{{- define "tripline.canary.name" -}}
{{- printf "%s-canary" (include "tripline.fullname" .) }}
{{- end }}

{{- define "tripline.webhook.name" -}}
{{- printf "%s-webhook" (include "tripline.fullname" .) }}
{{- end }}

{{- /* The Secret with the webhook's credentials. */}}
{{- define "tripline.webhook.secret" -}}
{{- .Values.source.webhook.existingSecret | default (include "tripline.webhook.name" .) }}
{{- end }}

{{- /* Whether that Secret is the chart's, and whoever leads fills it; "yes" or nothing. */}}
{{- define "tripline.webhook.keepsSecret" -}}
{{- with .Values.source.webhook }}{{ if and .enabled (not .existingSecret) }}yes{{ end }}{{ end }}
{{- end }}

{{- define "tripline.lease.name" -}}
{{- .Values.lease.name | default (include "tripline.fullname" .) }}
{{- end }}

{{- /* Names of the service accounts. */}}
{{- define "tripline.reader.account" -}}
{{- .Values.reader.serviceAccount.name | default (include "tripline.reader.name" .) }}
{{- end }}

{{- define "tripline.controller.account" -}}
{{- .Values.controller.serviceAccount.name | default (include "tripline.controller.name" .) }}
{{- end }}

{{- /* A service account of this namespace as the API server names its user. */}}
{{- define "tripline.user" -}}
{{- printf "system:serviceaccount:%s:%s" (index . 0).Release.Namespace (index . 1) }}
{{- end }}

{{- /*
Every account that the release has in either mode, for --own-account: after a change of mode the log still holds
requests of the mode before.
*/}}
{{- define "tripline.own" -}}
{{- $name := include "tripline.fullname" . }}
{{- $reader := .Values.reader.serviceAccount.name }}
{{- $controller := .Values.controller.serviceAccount.name | default (printf "%s-controller" $name) }}
{{- $accounts := list }}
{{- range list ($reader | default $name) ($reader | default (printf "%s-reader" $name)) $controller | uniq }}
{{- $accounts = append $accounts (include "tripline.user" (list $ .)) }}
{{- end }}
{{- join "," $accounts }}
{{- end }}

{{- /* Tripline's own users, as a CEL list. */}}
{{- define "tripline.users" -}}
{{- $users := list (include "tripline.user" (list . (include "tripline.reader.account" .))) }}
{{- if eq .Values.mode "split" }}
{{- $users = append $users (include "tripline.user" (list . (include "tripline.controller.account" .))) }}
{{- end }}
{{- $users | toJson }}
{{- end }}

{{- define "tripline.image" -}}
{{- $registry := .Values.global.imageRegistry | default .Values.image.registry }}
{{- with $registry }}{{ trimSuffix "/" . }}/{{ end }}{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}
{{- else }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}
