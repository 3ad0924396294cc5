# A role is made that mints tokens of service accounts.
#
# may: create roles
# may: escalate roles
# also: role-writes: to mint is to create

kubectl create role minter --verb=create --resource=serviceaccounts/token
