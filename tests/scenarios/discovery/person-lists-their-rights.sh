# A person asks what they may do.

kubectl auth can-i --list
