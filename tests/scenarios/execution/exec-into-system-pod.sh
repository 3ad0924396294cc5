# Somebody runs a command in a pod of kube-system.
#
# may: get pods
# may: get,create pods/exec
# also: exec-into-pod: it reports every session

admin apply --filename - <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: resolver, namespace: kube-system}
spec:
  nodeName: paper
  containers: [{name: resolver, image: "registry.k8s.io/pause:3.10"}]
YAML
fails kubectl exec --namespace=kube-system resolver -- cat /etc/resolv.conf
