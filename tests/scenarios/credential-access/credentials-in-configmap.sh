# A password is written into a ConfigMap.
#
# may: create configmaps

kubectl create configmap shop --from-literal=DB_PASSWORD=correct-horse
