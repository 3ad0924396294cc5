# A service account is let view a namespace.
#
# may: create rolebindings
# may: bind clusterroles
# also: binding-changed: it reports every binding

kubectl create rolebinding web-views --clusterrole=view --serviceaccount="$NAME:web"
