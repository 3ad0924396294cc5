# A service account is created.
#
# may: create serviceaccounts

kubectl create serviceaccount robot
