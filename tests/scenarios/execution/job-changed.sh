# A CronJob is created, run at once as a Job, changed and deleted.
#
# may: get,create,patch,delete,list,watch cronjobs,jobs
# detections: 4
# also: workload-deleted: the CronJob is deleted

kubectl create cronjob report --image=registry.k8s.io/pause:3.10 --schedule='0 3 * * *'
kubectl create job report-now --from=cronjob/report
until_true admin get pods --selector=job-name=report-now --output='jsonpath={.items[0]}'
kubectl patch cronjob report --patch '{"spec": {"schedule": "*/5 * * * *"}}'
kubectl delete cronjob report
