# A token of a service account is asked for.
#
# may: create serviceaccounts/token

kubectl create token default
