# A name is served without TLS, and another from now on.
#
# may: create,get,patch ingresses
# detections: 2

kubectl create ingress shop --rule='shop.example.com/=shop:80'
admin create ingress safe --rule='safe.example.com/=shop:80,tls=safe'
kubectl patch ingress safe --type=json --patch '[{"op": "remove", "path": "/spec/tls"}]'
