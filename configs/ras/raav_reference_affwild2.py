_base_ = './raav_affwild2.py'
repaired = False
