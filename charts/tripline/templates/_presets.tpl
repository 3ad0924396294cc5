{{- /*
What is known of each distribution:

path          the log, as the distribution writes it or its documents propose
mount         the folder to mount. A mounted folder is pinned: one that is deleted and made anew is not seen. So the
              parent is mounted where it holds nothing but logs, else the log's own folder
hostPathType  what the kubelet does about a missing folder
seLinuxType   where SELinux may be enforcing: container_t may neither read logs nor write the state. Without SELinux
              the runtime passes it over
capabilities  what root needs to read a log that is not root's
logs          what is logged without further doing
*/}}
{{- define "tripline.presets" -}}
kubeadm:
  path: /var/log/kubernetes/audit/audit.log
  mount: /var/log/kubernetes
  logs: >-
    kubeadm logs nothing by itself. Give kube-apiserver --audit-policy-file and --audit-log-path in the
    ClusterConfiguration, and the folder as an extraVolume.
kind:
  path: /var/log/kubernetes/kube-apiserver-audit.log
  mount: /var/log/kubernetes
  logs: >-
    kind logs nothing by itself. Give kube-apiserver --audit-policy-file and --audit-log-path by kubeadmConfigPatches
    when you create the cluster.
k3s:
  path: /var/lib/rancher/k3s/server/logs/audit.log
  # The parent holds the cluster's keys.
  mount: /var/lib/rancher/k3s/server/logs
  seLinuxType: spc_t
  logs: >-
    k3s logs nothing by itself. Set audit-log-path and audit-policy-file as kube-apiserver-arg; the folder must be
    there before k3s starts.
rke2:
  path: /var/lib/rancher/rke2/server/logs/audit.log
  # The parent holds the cluster's keys.
  mount: /var/lib/rancher/rke2/server/logs
  seLinuxType: spc_t
  logs: >-
    RKE2 writes the file with a CIS profile, but its default policy has level None: the file is there and stays empty.
    Set audit-policy-file.
talos:
  path: /var/log/audit/kube/kube-apiserver.log
  mount: /var/log/audit
  # The kubelet is in a container that does not see these folders.
  hostPathType: ""
  # kube-apiserver runs as uid 65534 and its folder has mode 0700.
  capabilities: [DAC_READ_SEARCH]
  logs: >-
    Talos logs the metadata of every request. Rules that need bodies say so in their Observable condition; set
    cluster.apiServer.auditPolicy for them.
openshift:
  path: /var/log/kube-apiserver/audit.log
  # The parent is /var/log itself.
  mount: /var/log/kube-apiserver
  seLinuxType: spc_t
  logs: >-
    OpenShift logs the metadata of every request to kube-apiserver, without the stage RequestReceived: set
    source.omitStages=[RequestReceived]. Rules that need bodies need the profile WriteRequestBodies.
kops:
  path: /var/log/kube-apiserver-audit.log
  # The file lies among the host's other logs; a folder of its own would be narrower.
  mount: /var/log
  logs: >-
    kOps logs nothing by itself. Set auditLogPath and auditPolicyFile under kubeAPIServer of the cluster.
eks-anywhere:
  path: /var/log/kubernetes/api-audit.log
  mount: /var/log/kubernetes
  logs: >-
    EKS Anywhere logs what the audit policy of your cluster's configuration says.
custom:
  logs: >-
    kube-apiserver must be given --audit-policy-file and --audit-log-path.
{{- end }}

{{- /* What each distribution without a log on a node is told. */}}
{{- define "tripline.unsupported" -}}
eks: the control plane is run for you and its audit log goes to CloudWatch
gke: the control plane is run for you and its audit log goes to Cloud Logging
aks: the control plane is run for you and its audit log goes to a diagnostic setting
minikube: its audit log goes to the API server's standard output, not to a file
{{- end }}

{{- /*
Where the log is and what reading it takes: the distribution's preset, with what the values say instead. Of a webhook
there is no path and nothing to mount, and root needs no capability for what it writes itself.
*/}}
{{- define "tripline.log" -}}
{{- $distribution := .Values.distribution }}
{{- $version := .Capabilities.KubeVersion.Version }}
{{- $why := index (include "tripline.unsupported" . | fromYaml) $distribution }}
{{- $webhook := .Values.source.webhook.enabled }}
{{- if eq $distribution "minikube" }}
{{- if not $webhook }}
{{- fail (printf "distribution=minikube: %s. Start it with audit-log-path set to a file in a folder that is mounted from the node, and install with distribution=custom, source.file.path and source.file.mountPath. Or let it send its log: source.webhook.enabled=true." $why) }}
{{- end }}
{{- else if $why }}
{{- fail (printf "distribution=%s: %s, so there is no log on a node to read. Tripline cannot run there yet; `tripline replay` judges a log that you have downloaded." $distribution $why) }}
{{- end }}
{{- if not (has $distribution (list "custom" "eks-anywhere")) }}
{{- range $mark, $cloud := dict "-eks-" "EKS" "-gke." "GKE" }}
{{- if contains $mark $version }}
{{- fail (printf "this is %s (Kubernetes %s): the control plane is run for you, so there is no log on a node to read. Tripline cannot run there yet; `tripline replay` judges a log that you have downloaded. If you run this control plane yourself, say distribution=custom (or eks-anywhere)." $cloud $version) }}
{{- end }}
{{- end }}
{{- end }}
{{- $log := index (include "tripline.presets" . | fromYaml) $distribution | default dict }}
{{- $file := .Values.source.file }}
{{- $path := "" }}
{{- $mount := "" }}
{{- $root := "" }}
{{- $capabilities := list }}
{{- if not $webhook }}
{{- $path = $file.path | default $log.path }}
{{- if not $path }}
{{- fail "distribution=custom needs source.file.path: the value of kube-apiserver's --audit-log-path" }}
{{- end }}
{{- $mount = $file.mountPath }}
{{- if and (not $mount) $log.mount (hasPrefix (printf "%s/" $log.mount) $path) }}
{{- $mount = $log.mount }}
{{- end }}
{{- $mount = $mount | default (dir $path) }}
{{- if eq $mount "/" }}
{{- fail (printf "source.file.path %s lies in the host's root folder, which is not mounted as a whole: let kube-apiserver write to a folder of its own" $path) }}
{{- end }}
{{- if not (hasPrefix (printf "%s/" $mount) $path) }}
{{- fail (printf "source.file.path %s is not beneath source.file.mountPath %s" $path $mount) }}
{{- end }}
{{- $root = $file.logRoot | default $mount }}
{{- if not (hasPrefix (printf "%s/" $root) (printf "%s/" $mount)) }}
{{- fail (printf "source.file.mountPath %s is not beneath source.file.logRoot %s" $mount $root) }}
{{- end }}
{{- $capabilities = $log.capabilities | default list }}
{{- end }}
{{- $type := $log.hostPathType }}
{{- if kindIs "invalid" $type }}{{ $type = "DirectoryOrCreate" }}{{ end }}
{{- if not (kindIs "invalid" $file.hostPathType) }}{{ $type = $file.hostPathType }}{{ end }}
{{- if not (kindIs "invalid" .Values.reader.addCapabilities) }}{{ $capabilities = .Values.reader.addCapabilities }}{{ end }}
{{- $seLinux := .Values.reader.seLinuxOptions }}
{{- if and (not $seLinux) $log.seLinuxType }}{{ $seLinux = dict "type" $log.seLinuxType }}{{ end }}
{{- dict
  "path" $path "mount" $mount "root" $root "hostPathType" $type "capabilities" $capabilities "seLinux" $seLinux
  "logs" $log.logs | toYaml }}
{{- end }}
