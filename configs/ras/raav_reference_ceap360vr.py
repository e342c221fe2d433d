_base_ = './raav_ceap360vr.py'
repaired = False
