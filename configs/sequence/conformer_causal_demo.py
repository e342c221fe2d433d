_base_ = './conformer_demo.py'
past = 250
context = ['${enter}', '${conformer}']
