# A database is served to the internet: one that is known by its port, and one that is by its name.
#
# may: create services
# detections: 2

kubectl create service loadbalancer sessions --tcp=6379
kubectl create service loadbalancer redis --tcp=80
