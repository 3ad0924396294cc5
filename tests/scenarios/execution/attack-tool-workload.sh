# A scanner that looks for holes in clusters is run as a Job, and a distribution for intruders beside a container.
#
# may: create jobs
# may: get pods
# may: patch pods/ephemeralcontainers
# detections: 2
# also: job-changed: it is a Job that is created
# also: image-outside-allow-list: neither image is of a registry on the list
# also: ephemeral-container-added: the second tool is one

kubectl create job inventory --image=docker.io/aquasec/kube-hunter:0.6.8 -- kube-hunter --pod --quick
kubectl debug web --image=docker.io/kalilinux/kali-rolling:latest --container=look
