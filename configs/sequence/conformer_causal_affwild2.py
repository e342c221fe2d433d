_base_ = './conformer_affwild2.py'
past = 250
context = ['${enter}', '${conformer}']
