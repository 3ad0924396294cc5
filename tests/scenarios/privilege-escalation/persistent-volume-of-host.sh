# A volume is made of the folder where a node keeps its kubelet's keys, for a claim to ask for.
#
# may: create persistentvolumes

kubectl create --filename - <<YAML
apiVersion: v1
kind: PersistentVolume
metadata: {name: $NAME}
spec:
  storageClassName: $NAME
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  hostPath: {path: /var/lib/kubelet/pki}
YAML
