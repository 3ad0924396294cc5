# A Service opens a port on every node.
#
# may: create services

kubectl create service nodeport web --tcp=80
