# A dashboard is served to the internet.
#
# may: create services

kubectl create service loadbalancer kubernetes-dashboard --tcp=443:8443
