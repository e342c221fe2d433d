_base_ = './raav_gump.py'
repaired = False
