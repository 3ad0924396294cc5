# A pod is run among its node's processes, and a CronJob that shares its memory.
#
# may: create pods,cronjobs
# detections: 2
# also: job-changed: the second is a CronJob

kubectl run top --image=registry.k8s.io/pause:3.10 --overrides='{"spec": {"hostPID": true}}'
kubectl create --filename - <<'YAML'
apiVersion: batch/v1
kind: CronJob
metadata: {name: top}
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          hostIPC: true
          containers: [{name: top, image: "registry.k8s.io/pause:3.10"}]
YAML
