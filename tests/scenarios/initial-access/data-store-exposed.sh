# A database is served to the internet.
#
# may: create services

kubectl create service loadbalancer sessions --tcp=6379
