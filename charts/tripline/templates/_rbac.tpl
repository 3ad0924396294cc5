{{- /* To say plainly that the kinds are missing or older than the program. */}}
{{- define "tripline.rbac.definitions" -}}
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames: [detectionrules.tripline.dev, detectionexceptions.tripline.dev, securityalerts.tripline.dev, auditsources.tripline.dev]
  verbs: [get]
{{- end }}

{{- /* To keep alerts: their transitions, their time, their end. */}}
{{- define "tripline.rbac.alerts" -}}
- apiGroups: [tripline.dev]
  resources: [securityalerts]
  verbs: [get, list, watch, delete]
- apiGroups: [tripline.dev]
  resources: [securityalerts/status]
  verbs: [update]
{{- end }}

{{- /* The account that leads: the controller's, or in mode all the only one. */}}
{{- define "tripline.leader.account" -}}
{{- eq .Values.mode "all" | ternary (include "tripline.reader.account" .) (include "tripline.controller.account" .) }}
{{- end }}

{{- define "tripline.leader.component" -}}
{{- eq .Values.mode "all" | ternary "all" "controller" }}
{{- end }}

{{- define "tripline.leader.name" -}}
{{- eq .Values.mode "all" | ternary (include "tripline.reader.name" .) (include "tripline.controller.name" .) }}
{{- end }}
