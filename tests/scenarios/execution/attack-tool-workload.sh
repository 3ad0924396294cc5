# A scanner is run as a Job, and a distribution for intruders beside a container and in a Deployment.
#
# may: create jobs
# may: get,patch deployments
# may: get pods
# may: patch pods/ephemeralcontainers
# detections: 3
# also: job-changed: it is a Job that is created
# also: image-outside-allow-list: none of the images is of a registry on the list
# also: ephemeral-container-added: the second tool is one

kubectl create job inventory --image=docker.io/aquasec/kube-hunter:0.6.8 -- kube-hunter --pod --quick
kubectl debug web --image=docker.io/kalilinux/kali-rolling:latest --container=look

admin create deployment shop --image=registry.k8s.io/pause:3.10
kubectl patch deployment shop --type=json --patch '[
  {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "docker.io/kalilinux/kali-rolling"}]'
