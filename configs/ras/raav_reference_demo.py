_base_ = './raav_demo.py'
repaired = False
