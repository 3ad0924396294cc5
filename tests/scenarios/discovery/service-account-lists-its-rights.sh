# A service account asks what it may do.
#
# actor: system:serviceaccount:service-account-lists-its-rights:web

kubectl auth can-i --list
