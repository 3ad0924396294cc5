{{- /* Whether a rule is in one of the lists of a choice. Called with (list rule choice); "yes" or nothing. */}}
{{- define "tripline.rule.excluded" -}}
{{- $rule := index . 0 }}
{{- $choice := index . 1 }}
{{- $named := or (has $rule.metadata.name $choice.names) (has $rule.spec.severity $choice.severities) }}
{{- range $rule.spec.tags }}{{ if has . $choice.tags }}{{ $named = true }}{{ end }}{{ end }}
{{- if $named }}yes{{ end }}
{{- end }}

{{- /* Whether a rule is in each list of a choice that is not empty. */}}
{{- define "tripline.rule.included" -}}
{{- $rule := index . 0 }}
{{- $choice := index . 1 }}
{{- $tagged := empty $choice.tags }}
{{- range $rule.spec.tags }}{{ if has . $choice.tags }}{{ $tagged = true }}{{ end }}{{ end }}
{{- $named := or (empty $choice.names) (has $rule.metadata.name $choice.names) }}
{{- $severe := or (empty $choice.severities) (has $rule.spec.severity $choice.severities) }}
{{- if and $tagged $named $severe }}yes{{ end }}
{{- end }}

{{- /* Refuses names and tags that no rule has: a typing error would otherwise leave the cluster unwatched. */}}
{{- define "tripline.rules.check" -}}
{{- $names := list }}
{{- $tags := list }}
{{- range $path, $_ := .Files.Glob "rules/**.yaml" }}
{{- $rule := $.Files.Get $path | fromYaml }}
{{- $names = append $names $rule.metadata.name }}
{{- $tags = concat $tags ($rule.spec.tags | default list) }}
{{- end }}
{{- range $list := list "include" "exclude" }}
{{- $choice := index $.Values.rules $list }}
{{- range $choice.names }}
{{- if not (has . $names) }}
{{- fail (printf "rules.%s.names: no rule of the library is named %q; there are: %s" $list . ($names | sortAlpha | join ", ")) }}
{{- end }}
{{- end }}
{{- range $choice.tags }}
{{- if not (has . $tags) }}
{{- fail (printf "rules.%s.tags: no rule of the library has the tag %q; there are: %s" $list . ($tags | uniq | sortAlpha | join ", ")) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $_ := .Values.rules.overrides }}
{{- if not (has $name $names) }}
{{- fail (printf "rules.overrides: no rule of the library is named %q; there are: %s" $name ($names | sortAlpha | join ", ")) }}
{{- end }}
{{- if has $name $.Values.rules.exclude.names }}
{{- fail (printf "rules: %q is in overrides and in exclude.names" $name) }}
{{- end }}
{{- end }}
{{- range .Values.rules.include.names }}
{{- if has . $.Values.rules.exclude.names }}
{{- fail (printf "rules: %q is in include.names and in exclude.names" .) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The spec of a rule as the site has it. Called with (list spec override); YAML. */}}
{{- define "tripline.rule.spec" -}}
{{- $spec := index . 0 }}
{{- $override := index . 1 | default dict }}
{{- with $override.mode }}{{ $_ := set $spec "mode" . }}{{ end }}
{{- with $override.severity }}
{{- /* The score goes to the nearest one that docs/severity.md gives to the severity. */}}
{{- $scores := index (dict "Low" (list 0 29) "Medium" (list 30 59) "High" (list 60 84) "Critical" (list 85 100)) . }}
{{- $_ := set $spec "severity" . }}
{{- $_ := set $spec "riskScore" ($spec.riskScore | int | max (index $scores 0) | min (index $scores 1)) }}
{{- end }}
{{- if hasKey $override "riskScore" }}{{ $_ := set $spec "riskScore" $override.riskScore }}{{ end }}
{{- with $override.grouping }}{{ $_ := set $spec "grouping" (merge . ($spec.grouping | default dict)) }}{{ end }}
{{- with $override.exceptions }}
{{- $names := list }}
{{- range . }}{{ $names = append $names .name }}{{ end }}
{{- $kept := list }}
{{- range $spec.exceptions }}{{ if not (has .name $names) }}{{ $kept = append $kept . }}{{ end }}{{ end }}
{{- $_ := set $spec "exceptions" (concat $kept .) }}
{{- end }}
{{- toYaml $spec }}
{{- end }}
