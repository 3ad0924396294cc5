# A person asks for what they may not see.

fails kubectl get nodes
