_base_ = './conformer_ceap360vr.py'
past = 250
context = ['${enter}', '${conformer}']
