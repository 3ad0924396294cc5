# A service account asks whether it may read Secrets, run commands in pods, mint tokens, or do everything.
#
# actor: system:serviceaccount:sensitive-right-probed:web
# detections: 5

fails kubectl auth can-i get secrets
fails kubectl auth can-i create pods
fails kubectl auth can-i create pods --subresource=exec
fails kubectl auth can-i create serviceaccounts --subresource=token
fails kubectl auth can-i '*' '*'
fails kubectl auth can-i get configmaps
