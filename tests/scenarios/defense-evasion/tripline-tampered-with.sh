# A rule of Tripline's is switched off, an exception added, an alert and a source deleted, its pods' workload changed.
#
# may: get,patch,create,delete detectionrules,auditsources,securityalerts,detectionexceptions
# may: get,patch deployments

admin apply --filename - <<'YAML'
apiVersion: tripline.dev/v1alpha1
kind: DetectionRule
metadata: {name: watched}
spec: {displayName: Watched, severity: Low, riskScore: 10, query: "verb: nothing"}
YAML
kubectl patch detectionrule watched --type=merge --patch '{"spec": {"mode": "Disabled"}}'
kubectl delete detectionrule watched
