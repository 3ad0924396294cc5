# A scanner looks around, under its own name.
#
# may: list namespaces

api /api/v1/namespaces --user-agent kube-hunter/0.6.8
