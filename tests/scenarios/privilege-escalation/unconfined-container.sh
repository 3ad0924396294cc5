# A Job runs without seccomp, and a CronJob without AppArmor.
#
# may: create jobs,cronjobs
# detections: 2
# also: job-changed: it reports every Job

kubectl create --filename - <<'YAML'
apiVersion: batch/v1
kind: Job
metadata: {name: probe}
spec:
  template:
    spec:
      restartPolicy: Never
      securityContext: {seccompProfile: {type: Unconfined}}
      containers: [{name: probe, image: "registry.k8s.io/pause:3.10"}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: probe}
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
            - name: probe
              image: registry.k8s.io/pause:3.10
              securityContext: {appArmorProfile: {type: Unconfined}}
YAML
until_true admin get pods --selector=job-name=probe --output='jsonpath={.items[0]}'
