{{- /* What the pods of reader, controller and canary have in common. Called with (list . "reader" .Values.reader). */}}

{{- /* The sum of a shared map and a section's, which wins. Called with (list . section "podLabels"). */}}
{{- define "tripline.sum" -}}
{{- $shared := index (index . 0).Values (index . 2) | default dict }}
{{- $own := index (index . 1) (index . 2) | default dict }}
{{- merge (dict) (deepCopy $own) $shared | toYaml }}
{{- end }}

{{- define "tripline.pod.metadata" -}}
{{- $root := index . 0 }}
{{- $section := index . 2 -}}
labels:
  {{- include "tripline.labels" (list $root (index . 1)) | nindent 2 }}
  {{- with include "tripline.sum" (list $root $section "podLabels") | fromYaml }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with include "tripline.sum" (list $root $section "podAnnotations") | fromYaml }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Whether a pod uses the host's network; "yes" or nothing. Called with (list . "reader"). */}}
{{- define "tripline.hostNetwork" -}}
{{- $root := index . 0 }}
{{- $webhook := $root.Values.source.webhook }}
{{- $listens := and $webhook.enabled $webhook.hostNetwork (eq (index . 1) (include "tripline.reader.component" $root)) }}
{{- if or $root.Values.hostNetwork $listens }}yes{{ end }}
{{- end }}

{{- /* Fields of a pod's spec that need no thought of the role. */}}
{{- define "tripline.pod.spec" -}}
{{- $root := index . 0 }}
{{- $section := index . 2 -}}
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $section.priorityClassName | default $root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- if include "tripline.hostNetwork" . }}
hostNetwork: true
dnsPolicy: ClusterFirstWithHostNet
{{- end }}
{{- with $section.terminationGracePeriodSeconds }}
terminationGracePeriodSeconds: {{ . }}
{{- end }}
{{- with include "tripline.sum" (list $root $section "nodeSelector") | fromYaml }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat ($section.tolerations | default list) $root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "tripline.image.fields" -}}
image: {{ include "tripline.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end }}

{{- /* Arguments of `run` that every role understands. */}}
{{- define "tripline.arguments" -}}
{{- $root := index . 0 }}
{{- $section := index . 2 -}}
- --listen=0.0.0.0:{{ $section.port }}
- --log-format={{ $root.Values.logFormat }}
- --critical-exceptions={{ $root.Values.criticalExceptions }}
- {{ printf "--log-level=%s" $root.Values.logLevel | quote }}
- --events={{ $root.Values.events }}
- --evidence={{ $root.Values.evidence }}
- --retain-closed={{ int64 $root.Values.alerts.retainClosedSeconds }}
- --retain-open={{ int64 $root.Values.alerts.retainOpenSeconds }}
- --max-alerts={{ int64 $root.Values.alerts.max }}
{{- end }}

{{- /* Arguments of whoever writes alerts. */}}
{{- define "tripline.alerts" -}}
- --max-alerts-per-rule={{ int64 .Values.alerts.maxPerRule }}
- --alerts-per-second={{ int64 .Values.alerts.perSecond }}
{{- end }}

{{- /* Arguments of whoever reads a log, about Tripline itself. */}}
{{- define "tripline.self" -}}
{{- if .Values.selfProtection.enabled -}}
- --own-namespace={{ .Release.Namespace }}
- --own-name={{ include "tripline.fullname" . }}
{{- range .Values.selfProtection.deployers }}
- {{ printf "--deployer=%s" . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Variables of the section and of all; first those by which a client in a pod finds the API server. */}}
{{- define "tripline.env" -}}
{{- $api := (index . 0).Values.kubernetesApi }}
{{- $env := list }}
{{- if $api.host }}
{{- $env = append $env (dict "name" "KUBERNETES_SERVICE_HOST" "value" $api.host) }}
{{- $env = append $env (dict "name" "KUBERNETES_SERVICE_PORT" "value" (toString $api.port)) }}
{{- end }}
{{- $env = concat $env (index . 0).Values.extraEnv ((index . 2).extraEnv | default list) }}
{{- with $env }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{- define "tripline.probes" -}}
# Not tied to the API server: a restart would not bring it back.
livenessProbe:
  httpGet: {path: /livez, port: metrics}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: metrics}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}

{{- define "tripline.resources" -}}
{{- with include "tripline.sum" (list (index . 0) (index . 2) "resources") | fromYaml -}}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Pod Security `restricted`, for what needs no host. */}}
{{- define "tripline.restricted.pod" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "tripline.restricted.container" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
