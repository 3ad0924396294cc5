# A service account asks whether it may read Secrets.
#
# actor: system:serviceaccount:sensitive-right-probed:web

fails kubectl auth can-i get secrets
