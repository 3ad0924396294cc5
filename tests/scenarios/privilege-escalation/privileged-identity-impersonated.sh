# Somebody who may impersonate acts as an administrator, and as a node.
#
# may: impersonate users,groups

kubectl get pods --as="$ACTOR" --as-group=system:masters
kubectl auth whoami --as=system:node:paper --as-group=system:nodes
