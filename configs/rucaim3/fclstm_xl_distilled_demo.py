# The causal model learns what an ensemble predicts (docs/challenge.md).
_base_ = './fclstm_xl_demo.py'
teacher = 'work_dirs/teacher_demo'  # made by tools/ensemble.py RUN ... --partition train --out, or a run
losses = [dict(type='CCCLoss', over='batch'), dict(type='DistillationLoss')]
taught = dict(type='LoadPredictions', teacher='${teacher}', targets='${targets}')
train_dataloader = dict(
    dataset=dict(pipeline=[dict(type='LoadFeatures'), '${taught}', '${normalize}', dict(type='PackVA')])
)
