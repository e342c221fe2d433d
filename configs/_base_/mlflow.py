# Add '../_base_/mlflow.py' to the bases of an experiment: its figures for MLflow (extra `mlflow`).
mlflow_uri = 'sqlite:///work_dirs/mlflow.db'  # or the address of a server
mlflow = dict(type='MLflowVisBackend', tracking_uri='${mlflow_uri}')
