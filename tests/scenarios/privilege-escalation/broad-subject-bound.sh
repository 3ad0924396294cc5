# Everybody is let view a namespace, with a credential or without.
#
# may: create rolebindings
# may: bind clusterroles
# also: binding-changed: it reports every binding

kubectl create rolebinding everybody-views --clusterrole=view --group=system:unauthenticated --group=system:authenticated
