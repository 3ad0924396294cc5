# A name is served without TLS.
#
# may: create ingresses

kubectl create ingress shop --rule='shop.example.com/=shop:80'
