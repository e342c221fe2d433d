_base_ = './conformer_gump.py'
past = 150  # 30 s
context = ['${enter}', '${conformer}']
